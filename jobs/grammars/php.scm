(function_definition name: (_) @name body: (_) @body) @definition.function

[
  (class_declaration name: (_) @name body: (_) @body)
  (interface_declaration name: (_) @name body: (_) @body)
  (trait_declaration name: (_) @name body: (_) @body)
  (enum_declaration name: (_) @name body: (_) @body)
] @definition.class

(method_declaration name: (_) @name body: (_) @body) @definition.method

((comment) @comment (#match? @comment "^/\\*\\*"))  ; PHPDoc
