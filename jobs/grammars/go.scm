(function_declaration name: (_) @name body: (_) @body) @definition.function

; func (s *Stack[T]) Push(x T) {…}: the receiver's type is the class
(method_declaration
  receiver: (parameter_list
    (parameter_declaration
      type: [
        (type_identifier) @parent
        (generic_type type: (_) @parent)
        (pointer_type [(type_identifier) @parent (generic_type type: (_) @parent)])
      ]))
  name: (_) @name
  body: (_) @body) @definition.method

; godoc: the comment right above, but for what it tells the tools
((comment) @comment (#not-match? @comment "^//(line |extern |export |[a-z0-9]+:[a-z0-9])"))

((comment) @directive (#match? @directive "^//(line |extern |export |[a-z0-9]+:[a-z0-9])"))
