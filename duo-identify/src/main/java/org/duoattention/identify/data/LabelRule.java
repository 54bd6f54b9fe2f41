package org.duoattention.identify.data;

/** Which hidden states count in the loss. */
public enum LabelRule {
    /**
     * The states from which the tokens of the answers are predicted: the last token of each question and every token of
     * its answer but the last. The paper (arXiv 2410.10819, section 2.2) counts "the passkey tokens" without saying which
     * state belongs to a token; the state that reads an answer's last word needs nothing of the passkey any more, and the
     * one that has to find its first word reads the end of the question.
     */
    ANSWER,

    /** The states that read the questions and answers, every token of them, as the authors' code has it. */
    TAIL
}
