; Captures are those of tags.scm (tree-sitter's code navigation), plus @body, @parent.
(function_definition name: (_) @name body: (_) @body) @definition.function

(class_definition name: (_) @name body: (_) @body) @definition.class

; Bytes and templates (f"…") are no documentation; "a" "b" is one text
((function_definition
  body: (block . (expression_statement . [
    (string (string_start) @start (string_content) @doc)
    (concatenated_string (string (string_start) @start (string_content)? @doc)+)
    (parenthesized_expression
      (concatenated_string
        ((comment)* (string (string_start) @start (string_content)? @doc))+))
  ] .))) @definition.function
  (#not-match? @start "[bBfFtT]"))

((class_definition
  body: (block . (expression_statement . [
    (string (string_start) @start (string_content) @doc)
    (concatenated_string (string (string_start) @start (string_content)? @doc)+)
    (parenthesized_expression
      (concatenated_string
        ((comment)* (string (string_start) @start (string_content)? @doc))+))
  ] .))) @definition.class
  (#not-match? @start "[bBfFtT]"))

(decorated_definition definition: (_) @wrapped) @wrapper
