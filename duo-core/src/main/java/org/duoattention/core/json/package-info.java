/** Reading of small JSON files whose content is not trusted, with errors that name the file and the key. */
@NullMarked
package org.duoattention.core.json;

import org.jspecify.annotations.NullMarked;
