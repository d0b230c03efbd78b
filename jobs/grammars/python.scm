; Captures are those of tags.scm (tree-sitter's code navigation), plus @body, @parent.
(function_definition name: (_) @name body: (_) @body) @definition.function

(class_definition name: (_) @name body: (_) @body) @definition.class

(function_definition
  body: (block . (expression_statement . (string (string_content) @doc)))) @definition.function

(class_definition
  body: (block . (expression_statement . (string (string_content) @doc)))) @definition.class

(decorated_definition definition: (_) @wrapped) @wrapper
