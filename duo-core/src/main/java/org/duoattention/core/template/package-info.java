/** Chat templates: the part of Jinja that checkpoints use to write a conversation as a prompt. */
@NullMarked
package org.duoattention.core.template;

import org.jspecify.annotations.NullMarked;
