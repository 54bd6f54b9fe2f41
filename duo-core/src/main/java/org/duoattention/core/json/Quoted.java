package org.duoattention.core.json;

/** How text from an untrusted file is shown in a one-line message: short and without control characters. */
public final class Quoted {
    private static final int LIMIT = 80;

    private Quoted() {}

    /** The text, cut after 80 characters, with anything that is not printable replaced by a question mark. */
    public static String of(String text) {
        String head = text.length() > LIMIT ? text.substring(0, LIMIT) : text;
        StringBuilder shown = new StringBuilder(head.length() + 3);
        for (int i = 0; i < head.length(); i++) {
            char c = head.charAt(i);
            boolean hidden = Character.isISOControl(c) || Character.isSurrogate(c) || c == '\u2028' || c == '\u2029';
            shown.append(hidden ? '?' : c);
        }
        return text.length() > LIMIT ? shown.append("...").toString() : shown.toString();
    }
}
