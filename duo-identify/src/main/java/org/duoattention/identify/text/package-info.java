/** Texts to hide needles in: a generator of plain English, and text files. */
@NullMarked
package org.duoattention.identify.text;

import org.jspecify.annotations.NullMarked;
