package org.duoattention.core.template;

/** Something that a template can call: a global function, a macro, a bound method. */
interface Function {
    String name();

    Object call(Arguments arguments);
}
