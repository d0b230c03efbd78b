; Beside ecmascript.scm: class A { f = () => {…} }
(field_definition
  property: (_) @name value: (arrow_function body: (_) @body)) @definition.method
