/** Models that exist as a shape only: known shapes, storage formats of their weights, random weights, evenly spread retrieval heads. */
@NullMarked
package org.duoattention.examples.cli.synthetic;

import org.jspecify.annotations.NullMarked;
