/** Cache policies: pure plans that say what every KV head retains. */
package org.duoattention.api.cache;
