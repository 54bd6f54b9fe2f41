/** The CUDA backend behind one service provider. */
module org.duoattention.backend.cuda {
    requires org.duoattention.api;
    requires org.duoattention.quant;
    requires static org.jspecify;

    provides org.duoattention.api.backend.AttentionBackend with
            org.duoattention.backend.cuda.CudaBackend;
}
