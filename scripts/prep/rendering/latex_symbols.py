"""LaTeX symbol tables: the character of each command that stands for one.

The lists are those of LaTeX, amssymb, and KaTeX (https://katex.org/docs/supported.html). The mathematical
font has every one of the characters.
"""


def read_pairs(text: str) -> dict[str, str]:
    """Read a table from words that are keys and values in turn."""
    words = text.split()
    return dict(zip(words[::2], words[1::2], strict=True))


SYMBOLS = read_pairs("""
    alpha α beta β gamma γ delta δ epsilon ϵ varepsilon ε zeta ζ eta η theta θ vartheta ϑ iota ι kappa κ
    lambda λ mu μ nu ν xi ξ pi π varpi ϖ rho ρ varrho ϱ sigma σ varsigma ς tau τ upsilon υ phi ϕ varphi φ
    chi χ psi ψ omega ω Gamma Γ Delta Δ Theta Θ Lambda Λ Xi Ξ Pi Π Sigma Σ Upsilon Υ Phi Φ Psi Ψ Omega Ω
    varDelta Δ varGamma Γ varOmega Ω varPhi Φ varkappa ϰ digamma ϝ omicron ο
    times × div ÷ pm ± mp ∓ cdot ⋅ cdotp ⋅ ast ∗ star ⋆ circ ∘ bullet ∙ oplus ⊕ ominus ⊖ otimes ⊗ odot ⊙
    oslash ⊘ cap ∩ cup ∪ uplus ⊎ setminus ∖ smallsetminus ∖ wedge ∧ land ∧ vee ∨ lor ∨ neg ¬ lnot ¬ sqcap ⊓
    sqcup ⊔ dagger † dag † ddagger ‡ ddag ‡ wr ≀ amalg ⨿ ltimes ⋉ rtimes ⋊ veebar ⊻ barwedge ⊼
    divideontimes ⋇
    leq ≤ le ≤ geq ≥ ge ≥ leqslant ⩽ geqslant ⩾ leqq ≦ geqq ≧ neq ≠ ne ≠ ll ≪ gg ≫ equiv ≡ sim ∼ simeq ≃
    approx ≈ thickapprox ≈ approxeq ≊ thicksim ∼ backsim ∽ lesssim ≲ gtrsim ≳ lessgtr ≶ gtrless ≷
    nleq ≰ ngeq ≱
    nless ≮ ngtr ≯ lneq ⪇ gneq ⪈ lneqq ≨ gneqq ≩ nleqslant ≰ ngeqslant ≱ nsim ≁ ncong ≇ coloneqq ≔ eqqcolon ≕
    cong ≅ propto ∝ varpropto ∝ in ∈ notin ∉ ni ∋ owns ∋ subset ⊂ supset ⊃ subseteq ⊆ supseteq ⊇ subseteqq ⫅
    supseteqq ⫆ subsetneq ⊊ subsetneqq ⫋ varsubsetneqq ⫋ varsubsetneq ⊊ supsetneq ⊋ supsetneqq ⫌ nsubseteq ⊈
    nsupseteq ⊉ nsubset ⊄ Subset ⋐ Supset ⋑ sqsubset ⊏ sqsupset ⊐ sqsubseteq ⊑ sqsupseteq ⊒
    prec ≺ succ ≻ preceq ⪯ succeq ⪰ mid ∣ shortmid ∣ divides ∣ nmid ∤ parallel ∥ shortparallel ∥ nparallel ∦
    perp ⟂ vdash ⊢ dashv ⊣ models ⊨ vDash ⊨ Vdash ⊩ nvdash ⊬ nvDash ⊭ doteq ≐ doteqdot ≑ asymp ≍ bowtie ⋈
    triangleq ≜ because ∵ therefore ∴ smile ⌣ frown ⌢ trianglelefteq ⊴ trianglerighteq ⊵ lhd ⊲ rhd ⊳
    vartriangleleft ⊲ vartriangleright ⊳
    forall ∀ exists ∃ nexists ∄ emptyset ∅ varnothing ∅ infty ∞ partial ∂ nabla ∇ aleph ℵ beth ℶ hbar ℏ
    hslash ℏ ell ℓ Re ℜ Im ℑ wp ℘ angle ∠ measuredangle ∡ sphericalangle ∢ triangle △ vartriangle △
    bigtriangleup △ triangledown ▽ bigtriangledown ▽ triangleleft ◁ triangleright ▷ blacktriangle ▲
    blacktriangledown ▼ square □ Box □ qed □ blacksquare ■ diamond ⋄ Diamond ◇ lozenge ◊ bigcirc ◯ bigstar ★
    clubsuit ♣ diamondsuit ♢ heartsuit ♡ spadesuit ♠ top ⊤ bot ⊥ eth ð mho ℧
    prime ′ backprime ‵ degree ° celsius ℃ textcelsius ℃ textdegree ° sharp ♯ flat ♭ natural ♮ checkmark ✓
    surd √ complement ∁ imath ı jmath ȷ diagup ╱ diagdown ╲
    to → rightarrow → leftarrow ← gets ← leftrightarrow ↔ Rightarrow ⇒ Leftarrow ⇐ Leftrightarrow ⇔
    implies ⟹ impliedby ⟸ iff ⟺ longrightarrow ⟶ longleftarrow ⟵ longleftrightarrow ⟷ Longrightarrow ⟹
    Longleftarrow ⟸ Longleftrightarrow ⟺ mapsto ↦ longmapsto ⟼ uparrow ↑ downarrow ↓ updownarrow ↕
    Uparrow ⇑ Downarrow ⇓ Updownarrow ⇕ nearrow ↗ searrow ↘ swarrow ↙ nwarrow ↖ hookrightarrow ↪
    hookleftarrow ↩ rightharpoonup ⇀ rightharpoondown ⇁ leftharpoonup ↼ leftharpoondown ↽
    rightleftharpoons ⇌ leftrightharpoons ⇋ leftrightarrows ⇆ rightleftarrows ⇄ rightrightarrows ⇉
    upuparrows ⇈ nrightarrow ↛ nRightarrow ⇏ nleftarrow ↚ nLeftrightarrow ⇎ rightsquigarrow ⇝ leadsto ⇝
    twoheadrightarrow ↠ circlearrowleft ↺ circlearrowright ↻ curvearrowright ↷ dashrightarrow ⇢
    sum ∑ prod ∏ coprod ∐ int ∫ intop ∫ smallint ∫ iint ∬ iiint ∭ oint ∮ oiint ∯ bigcup ⋃ bigcap ⋂
    bigoplus ⨁ bigotimes ⨂ bigodot ⨀ biguplus ⨄ bigsqcup ⨆ bigvee ⋁ bigwedge ⋀
    ldots … dots … dotsc … dotso … textellipsis … mathellipsis … cdots ⋯ dotsb ⋯ dotsm ⋯ dotsi ⋯ vdots ⋮
    ddots ⋱ colon : ldotp .
    lbrace { rbrace } lbrack [ rbrack ] langle ⟨ rangle ⟩ lfloor ⌊ rfloor ⌋ lceil ⌈ rceil ⌉ vert | lvert |
    rvert | Vert ‖ lVert ‖ rVert ‖ backslash \\ textbackslash \\ lt < gt > And & S § P ¶ copyright ©
    pounds £ textsterling £ yen ¥ textyen ¥ euro € texteuro € cent ¢ textcent ¢ textdollar $ dollar $
    textunderscore _ textasciitilde ~ textquotesingle ' textregistered ®
    textbullet • AA Å aa å AE Æ ae æ OE Œ oe œ O Ø o ø L Ł l ł ss ß i ı j ȷ
    hdots … iddots ⋰ centerdot ⋅ permil ‰ textperthousand ‰ perthousand ‰ ohm Ω micro µ parallelogram ▱
    R ℝ N ℕ Z ℤ Q ℚ infin ∞ exist ∃ isin ∈ rarr → larr ← harr ↔ Alpha Α Beta Β
    dotplus ∔ intercal ⊺ Cap ⋒ Cup ⋓ doublecap ⋒ doublecup ⋓ curlyvee ⋎ curlywedge ⋏ boxplus ⊞ boxminus ⊟
    boxtimes ⊠ boxdot ⊡ circledcirc ⊚ circledast ⊛ circleddash ⊝ leftthreetimes ⋋ rightthreetimes ⋌
    doublebarwedge ⩞ unlhd ⊴ unrhd ⊵ gtrdot ⋗ lessdot ⋖ sslash ⫽ bigtimes ⨉ interleave ⫴
    lll ⋘ ggg ⋙ llless ⋘ gggtr ⋙ lesseqgtr ⋚ gtreqless ⋛ lesseqqgtr ⪋ gtreqqless ⪌ lessapprox ⪅
    gtrapprox ⪆ eqslantless ⪕ eqslantgtr ⪖ lnsim ⋦ gnsim ⋧ lnapprox ⪉ gnapprox ⪊ lvertneqq ≨ gvertneqq ≩
    nleqq ≰ ngeqq ≱ between ≬ pitchfork ⋔ preccurlyeq ≼ succcurlyeq ≽ precsim ≾ succsim ≿ precapprox ⪷
    succapprox ⪸ precnsim ⋨ succnsim ⋩ precnapprox ⪹ succnapprox ⪺ precneqq ⪵ succneqq ⪶ curlyeqprec ⋞
    curlyeqsucc ⋟ nprec ⊀ nsucc ⊁ npreceq ⋠ nsucceq ⋡ preceqq ⪳ succeqq ⪴ bumpeq ≏ Bumpeq ≎ circeq ≗
    eqcirc ≖ risingdotseq ≓ fallingdotseq ≒ Doteq ≑ eqsim ≂ backsimeq ⋍ backepsilon ∍ ntriangleleft ⋪
    ntriangleright ⋫ ntrianglelefteq ⋬ ntrianglerighteq ⋭ nshortmid ∤ nshortparallel ∦ nsubseteqq ⊈
    nsupseteqq ⊉ varsupsetneq ⊋ varsupsetneqq ⫌ nsqsubseteq ⋢ nsqsupseteq ⋣ sqsubsetneq ⋤ sqsupsetneq ⋥
    Vvdash ⊪ nVdash ⊮ nVDash ⊯ VDash ⊫ Vbar ⫫ origof ⊶ imageof ⊷ multimap ⊸ Join ⋈ smallsmile ⌣
    smallfrown ⌢ notni ∌ nni ∌ Perp ⫫ Coloneqq ⩴ coloneq ≔ eqcolon ≕ dblcolon ∷ vcentcolon : ratio :
    questeq ≟ triangleeq ≜ measeq ≞ corresponds ≙ wedgeq ≙ gtrsimeq ≳
    Lleftarrow ⇚ Rrightarrow ⇛ twoheadleftarrow ↞ leftarrowtail ↢ rightarrowtail ↣ looparrowleft ↫
    looparrowright ↬ leftrightsquigarrow ↭ nleftrightarrow ↮ nLeftarrow ⇍ Lsh ↰ Rsh ↱ curvearrowleft ↶
    upharpoonright ↾ restriction ↾ upharpoonleft ↿ downharpoonright ⇂ downharpoonleft ⇃ leftleftarrows ⇇
    downdownarrows ⇊ dashleftarrow ⇠ longmapsfrom ⟻ mapsfrom ↤ Mapsto ⤇ leftsquigarrow ⇜ updownarrows ⇅
    iiiint ⨌ oiiint ∰ varointclockwise ∲ ointctrclockwise ∳ fint ⨏
    ulcorner ⌜ urcorner ⌝ llcorner ⌞ lrcorner ⌟ lgroup ⟮ rgroup ⟯ lmoustache ⎰ rmoustache ⎱ llbracket ⟦
    rrbracket ⟧ lBrace ⦃ rBrace ⦄ lparen ( rparen )
    gimel ℷ daleth ℸ Game ⅁ Finv Ⅎ Bbbk 𝕜 circledR ® circledS Ⓢ maltese ✠ blacklozenge ⧫
    blacktriangleleft ◀ blacktriangleright ▶ varTheta Θ varLambda Λ varXi Ξ varPi Π varSigma Σ varUpsilon Υ
    varPsi Ψ varnabla ∇ Epsilon Ε Zeta Ζ Eta Η Iota Ι Kappa Κ Mu Μ Nu Ν Omicron Ο Rho Ρ Tau Τ Chi Χ
    mathsterling £ male ♂ female ♀ astrosun ☉ hexagon ⬡ pentagon ⬠ smiley ☺ frownie ☹ sun ☼
    varvdots ⋮ adots ⋰ dotsx … textmu µ textohm Ω textonehalf ½ textonequarter ¼ textthreequarters ¾
    texttimes × textdiv ÷ textpm ± texttrademark ™ textcopyright © textnumero № textsection § textparagraph ¶
    textdagger † textdaggerdbl ‡ textasciicircum ^ textbar | textless < textgreater > textbraceleft {
    textbraceright } textendash – textemdash — textquoteleft ‘ textquoteright ’ textquotedblleft “
    textquotedblright ” textexclamdown ¡ textquestiondown ¿ textrightarrow →
    textleftarrow ← textcurrency ¤ guillemotleft « guillemotright » lq ‘ rq ’ DH Ð dh ð DJ Đ dj đ NG Ŋ ng ŋ
    TH Þ th þ
    { { } } % % # # $ $ & & _ _ | ‖
""")

TEXVC = read_pairs("""
    empty ∅ alef ℵ alefsym ℵ real ℜ image ℑ reals ℝ Reals ℝ cnums ℂ Complex ℂ natnums ℕ weierp ℘
    thetasym ϑ bull ∙ sdot ⋅ plusmn ± clubs ♣ diamonds ♢ hearts ♡ spades ♠ Dagger ‡ sect § sub ⊂ sube ⊆
    supe ⊇ darr ↓ dArr ⇓ Darr ⇓ uarr ↑ uArr ⇑ Uarr ⇑ lArr ⇐ Larr ⇐ rArr ⇒ Rarr ⇒ lrarr ↔ hArr ⇔ Harr ⇔
    lrArr ⇔ Lrarr ⇔ lang ⟨ rang ⟩
""")
"""Symbols whose names are words or short, and which are therefore read within formulas only."""

UPRIGHT_GREEK = {
    (f"Up{name.lower()}" if name[0].isupper() else f"up{name}"): character
    for name, character in SYMBOLS.items()
    if "\u0391" <= character <= "\u03f6"
}
"""The upright letters of upgreek: \\upmu, \\Updelta."""
