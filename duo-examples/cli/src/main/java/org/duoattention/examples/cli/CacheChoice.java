package org.duoattention.examples.cli;

import java.util.HashSet;
import java.util.List;
import org.duoattention.core.DuoException;
import org.duoattention.core.cache.KvType;

/**
 * A cache that takes part in a comparison.
 *
 * @param policy what it keeps
 * @param kv how it stores keys and values
 * @param text how the user named it
 */
record CacheChoice(String policy, KvType kv, String text) {
    /**
     * Reads pairs such as {@code full:f16} and {@code duo:int8}.
     *
     * @throws DuoException when one is of another form or there twice
     */
    static List<CacheChoice> pairs(List<String> texts) {
        List<CacheChoice> choices = texts.stream().map(CacheChoice::pair).toList();
        HashSet<Object> seen = new HashSet<>();
        for (CacheChoice choice : choices) {
            if (!seen.add(List.of(choice.policy, choice.kv))) {
                throw new DuoException("--contenders names " + choice.text + " twice; name each once");
            }
        }
        return choices;
    }

    private static CacheChoice pair(String text) {
        int colon = text.indexOf(':');
        if (colon < 1 || !KvType.isValid(text.substring(colon + 1))) {
            throw new DuoException("--contenders has '" + text + "'; expected a policy and a storage of keys and values"
                    + " such as full:f16 or duo:int8, the storage one of " + KvType.CHOICES);
        }
        return new CacheChoice(text.substring(0, colon), KvType.parse(text.substring(colon + 1)), text);
    }

    /**
     * Policies with one storage.
     *
     * @throws DuoException when a policy is there twice, or none
     */
    static List<CacheChoice> policies(List<String> policies, KvType kv) {
        if (policies.isEmpty() || new HashSet<>(policies).size() < policies.size()) {
            throw new DuoException("--policies " + String.join(",", policies) + " names a policy twice or none");
        }
        return policies.stream()
                .map(policy -> new CacheChoice(policy, kv, policy))
                .toList();
    }
}
