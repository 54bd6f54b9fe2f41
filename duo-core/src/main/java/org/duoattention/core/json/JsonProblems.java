package org.duoattention.core.json;

import tools.jackson.core.JacksonException;
import tools.jackson.core.TokenStreamLocation;

/** Parser complaints in one line. */
public final class JsonProblems {
    private JsonProblems() {}

    /** For example {@code line 3, column 7 (Duplicate Object property "a")}. */
    public static String where(JacksonException e) {
        TokenStreamLocation at = e.getLocation();
        String place = at == null ? "an unknown place" : "line " + at.getLineNr() + ", column " + at.getColumnNr();
        return place + " (" + Quoted.of(String.valueOf(e.getOriginalMessage())) + ")";
    }
}
