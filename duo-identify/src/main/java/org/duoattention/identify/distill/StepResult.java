package org.duoattention.identify.distill;

/**
 * What a step found.
 *
 * @param distill mean over the labels of the mean over the hidden size of the squared difference between the teacher's and
 *     the student's states after the final norm
 * @param regularisation mean magnitude of the gates
 * @param loss {@code distill + factor * regularisation}
 * @param gradient derivative of the loss by every gate, layers x KV heads
 */
public record StepResult(double distill, double regularisation, double loss, double[][] gradient) {}
