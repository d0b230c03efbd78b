; Beside what C has.
(function_definition (try_statement) @body) @definition.function

(class_specifier name: (_) @name body: (_) @body) @definition.class

(struct_specifier name: (_) @name body: (_) @body) @definition.class

(union_specifier name: (_) @name body: (_) @body) @definition.class

; class API Shelf {…}: the parser takes the macro for the class, and the class for a function
((function_definition
  type: [(class_specifier !body) (struct_specifier !body) (union_specifier !body)]
  declarator: [(identifier) (qualified_identifier)] @name
  body: (_) @body) @definition.class
  (#not-eq? @name "final"))

; operator bool() const {…}, K::operator bool() const {…}
(function_definition
  declarator: [(operator_cast) (qualified_identifier)] @name) @definition.function

(template_declaration (_) @wrapped .) @wrapper
