[
  (class_declaration name: (_) @name body: (_) @body)
  (interface_declaration name: (_) @name body: (_) @body)
  (enum_declaration name: (_) @name body: (_) @body)
  (record_declaration name: (_) @name body: (_) @body)
] @definition.class

[
  (method_declaration name: (_) @name body: (_) @body)
  (constructor_declaration name: (_) @name body: (_) @body)
  (compact_constructor_declaration name: (_) @name body: (_) @body)
] @definition.method

((block_comment) @comment (#match? @comment "^/\\*\\*"))  ; Javadoc
