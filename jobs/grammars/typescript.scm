; Beside ecmascript.scm.
(abstract_class_declaration name: (_) @name body: (_) @body) @definition.class

; class A { f = () => {…} }
(public_field_definition
  name: (_) @name value: (arrow_function body: (_) @body)) @definition.method
