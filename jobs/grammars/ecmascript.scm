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

; exports.f = function () {…}, A.prototype.f = () => …, f = …, window["f"] = …
(assignment_expression
  left: [(identifier) @name (member_expression property: (_) @name)
         (subscript_expression index: (string (string_fragment) @name)) (subscript_expression)]
  right: [(arrow_function body: (_) @body) (function_expression body: (_) @body)
          (generator_function body: (_) @body)]) @definition.function

; memo(function f() {…}): an argument with a name of its own
(arguments
  [(function_expression name: (_) @name body: (_) @body)
   (generator_function name: (_) @name body: (_) @body)] @definition.function)

; const a = {f() {…}, g: function () {…}, h: () => …}, exports = {…}, a: {…}, export default {…}
(_
  ["default" name: (identifier) @parent left: (identifier) @parent
   left: (member_expression property: (_) @parent) key: (property_identifier) @parent
   name: (property_identifier) @parent property: (property_identifier) @parent]
  (object
    [(method_definition name: (_) @name body: (_) @body)
     (pair
       key: [(string (string_fragment) @name) (property_identifier) @name
             (computed_property_name) @name (number) @name]
       value: [(arrow_function body: (_) @body) (function_expression body: (_) @body)
               (generator_function body: (_) @body)])] @definition.method))

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
(assignment_expression
  left: [(identifier) @name (member_expression property: (_) @name)
         (subscript_expression index: (string (string_fragment) @name)) (subscript_expression)]
  right: (class body: (_) @body)) @definition.class

(class_body (method_definition name: (_) @name body: (_) @body) @definition.method)

(export_statement declaration: (_) @wrapped) @wrapper

; a = b = function () {…}: the whole statement
(expression_statement (assignment_expression) @wrapped) @wrapper

(assignment_expression right: (assignment_expression) @wrapped) @wrapper

(variable_declarator value: (assignment_expression) @wrapped) @wrapper

[
  (lexical_declaration (variable_declarator value: (assignment_expression)) @wrapped)
  (variable_declaration (variable_declarator value: (assignment_expression)) @wrapped)
] @wrapper

(decorator) @attribute

((comment) @comment (#match? @comment "^/\\*\\*"))  ; JSDoc
