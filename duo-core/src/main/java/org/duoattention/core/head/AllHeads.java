package org.duoattention.core.head;

import java.util.Set;
import org.duoattention.api.head.HeadMask;
import org.duoattention.api.head.HeadMaskRequest;
import org.duoattention.api.head.HeadMaskSource;

/** {@code all}: every KV head is a retrieval head. */
public final class AllHeads implements HeadMaskSource {
    @Override
    public String name() {
        return "all";
    }

    @Override
    public HeadMask headMask(HeadMaskRequest request) {
        new SourceOptions(name(), request.options(), Set.of());
        return HeadMask.all(request.shape());
    }
}
