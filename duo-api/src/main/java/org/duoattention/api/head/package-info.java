/** Which KV heads are retrieval heads, and the services that decide it. */
package org.duoattention.api.head;
