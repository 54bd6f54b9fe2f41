package org.duoattention.core.template;

import java.util.List;

/**
 * What {@code items()}, {@code keys()} and {@code values()} of a mapping return: countable, without indexes.
 *
 * @param kind Python's name for it, such as {@code dict_items}
 */
record View(String kind, List<Object> items) {}
