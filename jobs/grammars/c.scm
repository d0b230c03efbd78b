; A name may lie under pointers and references: T *f(), T **f(), T &f().
(function_definition body: (compound_statement) @body) @definition.function

(function_definition
  declarator: (function_declarator declarator: (_) @name)) @definition.function

(function_definition
  declarator: (_ (function_declarator declarator: (_) @name))) @definition.function

(function_definition
  declarator: (_ (_ (function_declarator declarator: (_) @name)))) @definition.function

(comment) @comment  ; C has no mark of its own: the comment right above, as in Go
