/** The contracts that every backend, cache policy and head mask source passes, and the fakes to test their callers with. */
package org.duoattention.tck;
