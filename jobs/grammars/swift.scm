; the name is what follows `func`: the grammar calls the types of the result and parameters so too
(function_declaration "func" . _ @name body: (_) @body) @definition.function

; class, struct, enum, actor and extension are one node
(class_declaration name: (_) @name body: (_) @body) @definition.class

(protocol_declaration name: (_) @name body: (_) @body) @definition.class

(init_declaration "init" @name body: (_) @body) @definition.method

(deinit_declaration "deinit" @name body: (_) @body) @definition.method

([(comment) (multiline_comment)] @comment (#match? @comment "^(///|/\\*\\*)"))  ; DocC
