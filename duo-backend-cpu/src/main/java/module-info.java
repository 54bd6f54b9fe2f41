/** The CPU backend: a scalar reference and Vector API kernels behind one service provider. */
module org.duoattention.backend.cpu {
    requires org.duoattention.api;
    requires org.duoattention.quant;
    requires jdk.incubator.vector;
    requires static org.jspecify;
}
