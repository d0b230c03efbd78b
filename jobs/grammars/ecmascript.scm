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

; memo(function f() {…}), define("a", class A {…}): an argument with a name of its own
(arguments
  [(function_expression name: (_) @name body: (_) @body)
   (generator_function name: (_) @name body: (_) @body)] @definition.function)

(arguments (class name: (_) @name body: (_) @body) @definition.class)

; {f() {…}, g: function () {…}, h: () => …}, wherever the object stands
(object
  [(method_definition name: (_) @name body: (_) @body)
   (pair
     key: [(string (string_fragment) @name) (property_identifier) @name
           (computed_property_name) @name (number) @name]
     value: [(arrow_function body: (_) @body) (function_expression body: (_) @body)
             (generator_function body: (_) @body)])] @definition.method)

; A.prototype = {…}
(assignment_expression
  left: (member_expression object: (_) @name property: (_) @last)
  right: (object) @definition.object
  (#eq? @last "prototype"))

; const a = {…}, a.b = {…}, a: {…}, static a = {…}; a = a || {…}, a = [{…}], a = f({…}), a = new A({…})
(_
  [left: (identifier) @name left: (member_expression property: (_) @name)
   key: (property_identifier) @name key: (string (string_fragment) @name)
   name: (identifier) @name name: (property_identifier) @name
   property: (property_identifier) @name]
  [(object) @definition.object (_ (object) @definition.object)
   (_ (arguments (object) @definition.object))])

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

(pair key: (property_identifier) @name value: (class body: (_) @body)) @definition.class

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
