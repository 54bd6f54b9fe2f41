package org.duoattention.core.template;

/**
 * The value of a name or attribute that does not exist. It prints as nothing, is false and empty, and is an error in every
 * other use.
 *
 * @param reason the sentence to fail with, such as {@code 'tools' is undefined}
 */
record Undefined(String reason) {
    static Undefined name(String name) {
        return new Undefined("'" + name + "' is undefined");
    }

    static Undefined attribute(Object owner, Object name) {
        if (owner instanceof None) {
            return new Undefined("'None' has no attribute " + PythonText.repr(name));
        }
        String type = Values.typeName(owner) + " object";
        return new Undefined(
                switch (name) {
                    case String s -> "'" + type + "' has no attribute " + PythonText.repr(name);
                    case Long l -> type + " has no element " + l;
                    default -> type + " has no element for a key of type " + Values.typeName(name);
                });
    }

    /** As in Jinja, any two undefined values are equal. */
    @Override
    public boolean equals(Object other) {
        return other instanceof Undefined;
    }

    @Override
    public int hashCode() {
        return 0;
    }
}
