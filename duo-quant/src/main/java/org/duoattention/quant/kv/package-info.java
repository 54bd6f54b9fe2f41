/** How keys and values are quantised: the reference arithmetic that kernels are tested against. */
@org.jspecify.annotations.NullMarked
package org.duoattention.quant.kv;
