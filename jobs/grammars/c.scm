; A name may lie under pointers and references: T *f(), T **f(), T &f().
(function_definition body: (compound_statement) @body) @definition.function

((function_definition
  declarator: (function_declarator declarator: (_) @name)) @definition.function
  (#not-match? @name "^[(]"))

((function_definition
  declarator: (_ (function_declarator declarator: (_) @name))) @definition.function
  (#not-match? @name "^[(]"))

(function_definition
  declarator: (_ (_ (function_declarator declarator: (_) @name)))) @definition.function

; int (f)(int x), as one writes it where f is a macro too
(function_definition
  declarator: [(function_declarator declarator: (parenthesized_declarator (identifier) @name))
               (_ (function_declarator declarator: (parenthesized_declarator (identifier) @name)))])
  @definition.function

; What returns a pointer to a function or an array bears its name inside: int (*f(int x))(int)
(function_definition
  declarator: [
    (_ (parenthesized_declarator (_ (function_declarator declarator: (_) @name))))
    (_ (_ (parenthesized_declarator (_ (function_declarator declarator: (_) @name)))))
  ]) @definition.function

(comment) @comment  ; C has no mark of its own: the comment right above, as in Go
