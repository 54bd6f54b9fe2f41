/** Speed of decode and prefill at given depths, of this library and of others, measured in turn. */
@NullMarked
package org.duoattention.examples.cli.bench;

import org.jspecify.annotations.NullMarked;
