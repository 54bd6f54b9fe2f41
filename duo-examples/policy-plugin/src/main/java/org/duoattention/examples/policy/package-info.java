/** A cache policy built as an outsider would build it. */
package org.duoattention.examples.policy;
