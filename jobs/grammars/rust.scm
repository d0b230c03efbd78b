(function_item name: (_) @name body: (_) @body) @definition.function

; What holds methods counts as a class: impl Type, impl Trait for Type, trait.
(impl_item type: [(type_identifier) @name (generic_type type: (_) @name)]) @definition.class

(impl_item body: (_) @body) @definition.class

(trait_item name: (_) @name body: (_) @body) @definition.class

(attribute_item) @attribute

([(line_comment) (block_comment)] @comment (#match? @comment "^(///|/\\*\\*)"))  ; rustdoc
