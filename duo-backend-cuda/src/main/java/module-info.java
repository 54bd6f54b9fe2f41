/** The CUDA backend behind one service provider. */
module org.duoattention.backend.cuda {
    requires org.duoattention.api;
    requires org.duoattention.quant;
    // On the module path whoever wants NVIDIA's libraries adds these; without them own kernels do the work.
    requires static org.bytedeco.cuda;
    requires static org.bytedeco.javacpp;
    requires static org.jspecify;

    provides org.duoattention.api.backend.AttentionBackend with
            org.duoattention.backend.cuda.CudaBackend;
}
