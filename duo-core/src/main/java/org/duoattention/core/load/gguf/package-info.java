/** Reads models from GGUF files: header, metadata, tensors and tokenizer. */
@NullMarked
package org.duoattention.core.load.gguf;

import org.jspecify.annotations.NullMarked;
