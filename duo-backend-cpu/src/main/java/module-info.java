/** The CPU backend: a scalar reference and Vector API kernels behind two service providers. */
module org.duoattention.backend.cpu {
    requires org.duoattention.api;
    requires org.duoattention.quant;
    requires jdk.incubator.vector;
    requires jdk.management;
    requires static org.jspecify;

    provides org.duoattention.api.backend.AttentionBackend with
            org.duoattention.backend.cpu.CpuScalarBackend,
            org.duoattention.backend.cpu.CpuVectorBackend;
}
