"""Writes scores.json, what scores_test.cpp compares with: cases of translations, scored by sacreBLEU itself.
Usage, in an environment that has sacrebleu: python3 tests/scores.py > tests/scores.json"""
import json

import sacrebleu
from sacrebleu.metrics import BLEU, CHRF

# name, hypotheses, references
CASES = [
    ("equal", ["The cat sat on the mat."], ["The cat sat on the mat."]),
    ("nothing in common", ["aaa bbb ccc"], ["xxx yyy zzz"]),
    ("shorter than four words", ["Hello world"], ["Hello world"]),
    ("no match of four words", ["the cat is on a mat today"], ["there is a cat on the mat today"]),
    ("brevity", ["The quick brown fox jumps over"], ["The quick brown fox jumps over the lazy dog near the river"]),
    ("longer than the reference", ["It is a very very very long answer to a short question"], ["It is a long answer"]),
    ("clipped counts", ["the the the the the the the"], ["the cat is on the mat"]),
    ("case counts", ["THE CAT SAT ON the mat ."], ["The cat sat on the mat ."]),
    ("empty lines", ["", "A man is walking his dog.", ""], ["A woman is reading.", "A man walks his dog.", ""]),
    ("all empty", ["", ""], ["", ""]),
    ("empty references", ["something is said here", "and here too"], ["", ""]),
    ("spaces at the ends", ["  a b  c d e \t", "\u00a0 f g h i \u3000"], ["a b c d e", "f g h i"]),
    ("German", ["Zwei junge weiße Männer sind draußen, in der Nähe vieler Büsche.",
                "Mehrere Männer mit Schutzhelmen bedienen ein Antriebsrad-System.",
                "Ein kleines Mädchen klettert in ein Spielhaus aus Holz!"],
     ["Zwei junge weiße Männer sind im Freien in der Nähe vieler Büsche.",
      "Mehrere Männer mit Schutzhelmen bedienen ein Antriebsradsystem.",
      "Ein kleines Mädchen klettert in ein Spielhaus aus Holz."]),
    ("French", ["Deux jeunes hommes blancs sont dehors, près de buissons.", "L'élève a reçu « un prix » à l’école ; c'est vrai ?",
                "Où est-ce qu'il naît, cet œuf ?"],
     ["Deux jeunes hommes blancs sont dehors près de buissons.", "L'élève a reçu «un prix» à l'école; c’est vrai?",
      "Où naît-il, cet œuf-là ?"]),
    ("Spanish", ["¿Dónde está el niño? ¡Aquí!", "Y dijo Dios: Sea la luz: y fué la luz."],
     ["¿Dónde está el niño pequeño? ¡Está aquí!", "Y dijo Dios: «Sea la luz», y fue la luz."]),
    ("Czech and Polish", ["Příliš žluťoučký kůň úpěl ďábelské ódy.", "Zażółć gęślą jaźń, proszę."],
     ["Příliš žluťoučký kůň úpěl strašné ódy.", "Zażółć gęślą jaźń proszę."]),
    ("Vietnamese, composed and not", ["Tôi không biết tiếng Việt.", "Cafe\u0301 noir"], ["Tôi không nói được tiếng Việt.", "Caf\u00e9 noir"]),
    ("Russian and Greek", ["Мама мыла раму, а папа читал газету.", "Η γρήγορη αλεπού πηδάει πάνω από τον σκύλο."],
     ["Мама мыла раму, а папа читал книгу.", "Η γρήγορη καφέ αλεπού πηδάει πάνω από το τεμπέλικο σκυλί."]),
    ("Chinese", ["两个年轻的白人男子在户外。", "我爱北京天安门,天安门上太阳升。"], ["两名年轻白人男性在室外。", "我爱北京天安门，天安门上太阳升。"]),
    ("Japanese", ["吾輩は猫である。名前はまだ無い。", "今日は 良い 天気 です 。"], ["吾輩は猫である。名前はまだない。", "今日は いい 天気 です 。"]),
    ("Korean", ["나는 오늘 학교에 갔습니다.", "안녕하세요, 세계!"], ["나는 어제 학교에 갔습니다.", "안녕, 세계!"]),
    ("Arabic", ["ذهب الولد إلى المدرسة، ثم عاد.", "هل أنت بخير؟"], ["ذهب الولد إلى المدرسة صباحاً، ثم عاد.", "هل أنتَ بخير؟"]),
    ("Hebrew, Hindi, Thai", ["שלום, עולם!", "मैं घर जा रहा हूँ।", "ฉันรักภาษาไทย"], ["שלום עולם!", "मैं अपने घर जा रहा हूँ।", "ฉันชอบภาษาไทย"]),
    ("emoji", ["I ❤️ you 😀😀 👩‍👩‍👧‍👦!", "🏳️‍🌈 flag 👍🏽"], ["I ❤ you 😀 👩‍👩‍👧‍👦 !", "🏳️‍🌈 flag 👍"]),
    ("HTML entities", ["&quot;Tom &amp; Jerry&quot; &lt;b&gt;run&lt;/b&gt; &amp;amp; &nbsp; &#39;", "a &quot b"],
     ['"Tom & Jerry" <b>run</b> &amp; \u00a0 \'', "a &quot; b"]),
    ("skipped", ["This <skipped> is <skipped>here now", "<ski<skipped>pped>"], ["This is here now", "<skipped> <skipped>"]),
    ("numbers", ["It costs 1,234.56 dollars, not 1.234,56.", "Call 555-1234 or 3-4 p.m., 10:30.", "pi=3.14159... 2.0.1, v1.2-beta 5.",
                 ".5 ,5 5. 5, 1- 1-2 -1"],
     ["It costs $1,234.56, not 1.234,56 dollars.", "Call 555-1234 or 3 - 4 pm, 10:30.", "pi = 3.14159 ... 2.0.1, v1.2-beta, 5.",
      ". 5 , 5 5. 5, 1 - 1 - 2 - 1"]),
    ("punctuation", ["a,b.c;d:e!f?g(h)i[j]k{l}m<n>o@p#q$r%s^t&u*v_w=x+y|z~`\\/\"'", "... ,,, .,.,. --- -- '' `` **",
                     "Don't stop: it's John's (really)..."],
     ["a , b . c ; d : e ! f ? g ( h ) i [ j ] k { l } m < n > o @ p # q $ r % s ^ t & u * v _ w = x + y | z ~ ` \\ / \" '",
      ". . . , , , . , . , . - - - - - ' ' ` ` * *", "Do n't stop : it 's John 's ( really ) ..."]),
    ("white space of Unicode", ["a\u2003b\u2009c\u00a0d\u3000e f", "x\u200by z\ufeff w", "one\x1ctwo\x85three\u2028four five six"],
     ["a b c d e f", "x y z w", "one two three four five six"]),
    ("line ends inside", ["one two-\nthree four\nfive six seven", "a\nb\nc\nd"], ["one twothree four five six seven", "a b c d"]),
    ("full-width and typographic", ["“Ｈｅｌｌｏ”，ｗｏｒｌｄ！ 1．5 ½ ² ５.５", "It’s – well — fine… isn’t it"],
     ["\"Hello\", world! 1.5 1/2 2 5.5", "It's - well -- fine... isn't it"]),
    ("long repetition", ["na " * 50 + "batman", "the cat " * 20], ["na " * 30 + "batman !", "the cat sat " * 10]),
    ("one letter", ["a", "b", "c"], ["a", "x", "c"]),
    ("a corpus", [f"sentence number {i} says that {i * 7 % 13} birds and {i % 3} fish , swim to 1{i},{i:03d} places ."
                  for i in range(40)],
     [f"sentence number {i} tells that {i * 5 % 11} birds and {i % 4} fishes swim to 1{i},{i:03d} places." for i in range(40)]),
]

bleu, sentence_bleu, chrf = BLEU(), BLEU(effective_order=True), CHRF()
rows = []
for name, hypotheses, references in CASES:
    corpus = bleu.corpus_score(hypotheses, [references])
    characters = chrf.corpus_score(hypotheses, [references])
    row = {
        "name": name, "hypotheses": hypotheses, "references": references,
        "bleu": corpus.score, "bleu_text": corpus.format(signature=str(bleu.get_signature())),
        "chrf": characters.score, "chrf_text": characters.format(signature=str(chrf.get_signature())),
        "sentences": [],
    }
    for hypothesis, reference in zip(hypotheses[:3], references[:3]):
        one = sentence_bleu.sentence_score(hypothesis, [reference])
        letters = chrf.sentence_score(hypothesis, [reference])
        row["sentences"].append({
            "tokens": sentence_bleu._preprocess_segment(hypothesis).split(),
            "bleu_text": one.format(signature=str(sentence_bleu.get_signature())), "bleu": one.score, "chrf": letters.score})
    rows.append(row)
print(json.dumps({"sacrebleu": sacrebleu.__version__, "cases": rows}, indent=1))
