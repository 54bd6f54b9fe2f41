package org.duoattention.core.tokenizer;

import tools.jackson.core.JacksonException;

/** What Jackson complains of, short enough for one sentence. */
final class JsonErrors {
    private JsonErrors() {}

    static String sentence(JacksonException e) {
        String what = e.getOriginalMessage();
        int lineEnd = what.indexOf('\n');
        String first = lineEnd < 0 ? what : what.substring(0, lineEnd);
        return e.getLocation() == null || e.getLocation().getLineNr() < 0
                ? first
                : first + ", line " + e.getLocation().getLineNr() + " column "
                        + e.getLocation().getColumnNr();
    }
}
