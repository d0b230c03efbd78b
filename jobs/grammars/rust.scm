(function_item name: (_) @name body: (_) @body) @definition.function

; What holds methods counts as a class: impl Type, impl Trait for Type, trait.
(impl_item
  type: [
    (generic_type type: (_) @name)
    (type_identifier) @name (scoped_type_identifier) @name (primitive_type) @name
    (reference_type) @name (pointer_type) @name (array_type) @name (tuple_type) @name
    (unit_type) @name (never_type) @name (function_type) @name (dynamic_type) @name
    (bounded_type) @name (abstract_type) @name (bracketed_type) @name (macro_invocation) @name
  ]) @definition.class

(impl_item body: (_) @body) @definition.class

(trait_item name: (_) @name body: (_) @body) @definition.class

(attribute_item) @attribute

([(line_comment) (block_comment)] @comment (#match? @comment "^(///|/\\*\\*)"))  ; rustdoc
