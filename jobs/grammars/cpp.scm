; Beside what C has.
(class_specifier name: (_) @name body: (_) @body) @definition.class

(struct_specifier name: (_) @name body: (_) @body) @definition.class

(template_declaration (_) @wrapped .) @wrapper
