/** Element types, shapes, storage formats and host tensors. */
package org.duoattention.api.tensor;
