/** What identifications were worth: accuracy by share of heads kept, per scorer, and the report on it. */
@NullMarked
package org.duoattention.identify.report;

import org.jspecify.annotations.NullMarked;
