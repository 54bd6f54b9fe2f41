/** Text to token ids and back: tokenizers, streaming decoding and stop strings. */
@NullMarked
package org.duoattention.core.tokenizer;

import org.jspecify.annotations.NullMarked;
