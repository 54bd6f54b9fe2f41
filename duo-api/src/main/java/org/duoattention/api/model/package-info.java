/** The numbers that describe a decoder-only transformer, and sets of its heads. */
package org.duoattention.api.model;
