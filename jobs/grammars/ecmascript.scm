[
  (function_declaration name: (_) @name body: (_) @body)
  (generator_function_declaration name: (_) @name body: (_) @body)
] @definition.function

; const f = (x) => …, var f = function () {…}
[
  (lexical_declaration
    (variable_declarator
      name: (identifier) @name
      value: [(arrow_function body: (_) @body) (function_expression body: (_) @body)
              (generator_function body: (_) @body)]))
  (variable_declaration
    (variable_declarator
      name: (identifier) @name
      value: [(arrow_function body: (_) @body) (function_expression body: (_) @body)
              (generator_function body: (_) @body)]))
] @definition.function

; exports.f = function () {…}, A.prototype.f = () => …
(expression_statement
  (assignment_expression
    left: (member_expression property: (_) @name)
    right: [(arrow_function body: (_) @body) (function_expression body: (_) @body)
            (generator_function body: (_) @body)])) @definition.function

; export default function () {…}
(export_statement
  value: [(arrow_function body: (_) @body) (function_expression body: (_) @body)]) @definition.function

(class_declaration name: (_) @name body: (_) @body) @definition.class

(export_statement value: (class body: (_) @body)) @definition.class

; const A = class {…}
[
  (lexical_declaration
    (variable_declarator name: (identifier) @name value: (class body: (_) @body)))
  (variable_declaration
    (variable_declarator name: (identifier) @name value: (class body: (_) @body)))
] @definition.class

; module.exports = class A {…}
(expression_statement
  (assignment_expression
    left: (member_expression property: (_) @name)
    right: (class body: (_) @body))) @definition.class

(class_body (method_definition name: (_) @name body: (_) @body) @definition.method)

(export_statement declaration: (_) @wrapped) @wrapper

(decorator) @attribute

((comment) @comment (#match? @comment "^/\\*\\*"))  ; JSDoc
