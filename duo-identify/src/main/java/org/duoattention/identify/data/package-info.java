/** The sequences on which heads are identified. */
@org.jspecify.annotations.NullMarked
package org.duoattention.identify.data;
