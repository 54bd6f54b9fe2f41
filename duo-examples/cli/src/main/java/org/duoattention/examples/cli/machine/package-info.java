/** What the machine allows: reading memory and multiply-add, measured beside the figures that are compared with them. */
@NullMarked
package org.duoattention.examples.cli.machine;

import org.jspecify.annotations.NullMarked;
