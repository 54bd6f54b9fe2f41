package org.duoattention.core.template;

/**
 * Text that the filter {@code safe} has marked as HTML: text that {@code +} joins to it is escaped. Besides that it can be
 * printed, compared and joined with {@code ~}; every other use is a fault.
 */
record Marked(String text) {
    static Marked escape(String text) {
        return new Marked(text.replace("&", "&amp;")
                .replace(">", "&gt;")
                .replace("<", "&lt;")
                .replace("'", "&#39;")
                .replace("\"", "&#34;"));
    }
}
