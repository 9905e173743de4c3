"""Which three letters follow each other in words, in any of 31 languages with Latin letters.

A bit for each three of a space, for the begin and end of a word, and the letters a to z: those that are more than one
in ten thousand of the trigrams of a language, marks left out. Counted in the profiles of langdetect 1.0.9 (Apache-2.0),
which were made of Wikipedia; `python -m bench.implausible --table PROFILES` makes the bits anew.
"""

import base64
from functools import cache

ALPHABET = " abcdefghijklmnopqrstuvwxyz"
SHARE = 1e-4
# Letters that are no others with marks, as which they count.
LETTERS = str.maketrans(
    {
        **dict(
            zip("đłøßæœıðþħŋəɛɔ", ("d", "l", "o", "s", "e", "e", "i", "d", "t", "h", "n", "e", "e", "o"), strict=True)
        ),
        **dict(zip("ĐŁØẞÆŒÐÞĦŊ", "DLOSEEDTHN", strict=True)),
    }
)
_BITS = (
    "0002^|Np;;B&kPcc|CJY?)|_2i&?U2=9XL{w&eQX@AHT#3TE#4HDU>(_y1h&9)jq9zu)4QtP>Fg(a0c)*Z=E1a>%al|9;O{vv_5i#Ug_s*xB"
    "dB?S8oc008j)_q`iU9_@Vlc;=tilTcikpX9;qf3Ifr>9C*Q)f;hqu59!0|G(e&`#t{u=XZb*3U+_{JYoof|NsBL{^$90pU?Y!9hs5l(~LBOZ"
    "bV^qE6s!3ZFmC!0O0qZ|05Cv01*JdfFKC^|G5nS000mG00000;P;;2A^-po006*<A%Fk?05Bp5pjvN!0RR910000Zf*>A1fZ%`t0CxWS1ONa"
    "a0RRF4001Bssu}<QfB*mhz`uW=0RR9nG6(<w008X!^$`F700000n33nzuYa#Z1VAt{jUW+05C{kWKtvEg^LYIL0000000=||0W_irfDu7<jQ"
    "DjK00000AOHXW06<nf21c*}1ONbl|G)kN01^lU0DxnHp!)yszW@LLL<9gZVhDnN|9^`BfIvWy1S5kW1Q7s$h#`P}{rd?32mk;80E`HN`b9B<"
    "Ap!*0{qM1eAOJ>y2m}BCfNywCj40v=0002Hcs)E3Ceg|_4`=rIeT~PXF<}^;|MO@@odW;)T%D1}!|gr~{{Qj)Bj3aSe|{H2bznrY2LJ*f`2X"
    "+s?tZ^d{`ox%&7Bcx7L5oqXh$FdH`)xCIfgR;004IWJOKaz00000fB*pC$B#=Rg0unw0Du4h09L&@C;|uo0RRAq0D=kt0004k0E(360RR910"
    "000WA_yXY1PF{kAYnGH2LJ#7001Bm0000Ypa=;7000000Q~;-TSNc=0RR9PF$7TmezySt05Bp<f)POq{rUe<L=Z$GfFKwV1eJgw2u1_}P|eR"
    "z0RRvH003Y`5Y@M;I2;iGz>FWC1pojbB1Iqo007MGvjGAK00000`2YJq00000001B&2%vxep9=s0000000002k_5YFxAOJ=LNiZS^0uey~j0"
    "l40-{0RL00aOK0KkYa6hHzXFmlVHAAdfH2!cRF2tWV;0H}gv1^@s60002+@88c6NgA#E^LS>P$KQYb9211W>_0C@WGT>@_k}rSG@NYmX#YQ7"
    "f4Vu?|Ht>PeLq$tdk_Esf?t0gzW(=l^q=1m_8b@yX3>Z+fkp%XAR-NbUHvu#007|Qzn=hr00000KnMT`e*60g00000000000O043ivR!s2mw"
    "F<2mk;?06;Jzh@jVhegFUf0000000013QH0=#0SJEoc_;!100000000000D=Gj000000Kn&euSEa=0Ac_D5dZ-F{`DCE000001eg&7!T*21K"
    ">z_TA_xKzLlBGr06@eLK>z>!1^@s60000)1VOxGALEfh7XAJATSNc=A_4#a002OO4hKL000000fd9Y#j{t%IWB>&tf;{^F@Ba`007e8uAOZ-"
    "0|NnoF2%=y_m__5u_!<#J!H6J;e&72kA^-pY004jh0AOV?gCm1H`2YXoh#&-3fdB*m0D${<Y$PB600000zyJRqktPAa003tM2(bIde*r)chy"
    "VZx1ONoT{vHAm0DyoX2}BG)B_are5kUa;`tx(lk_P|)01yxWRY(E^MgT!E;qO-f004{#0SEv900qDZ2oV4P0002~|NAcj0HTp=9N+x%`1ilx"
    "0)ime{p8h%Ac+3|{XHUxf)!aFiAaD*L;wIMnz;J?|0e(d0000$Ffst3m(LuJT=MGAp9dm>02l!T5I_I`e%$deA_xEg002Ztap1?AO)Jkl{Q2"
    "&8u3jhR1aLHJ&7u)&8r9};b3_~sCz?F^_s7@SdJq1;`Bd%Kt@X(szyN~a|G(ca`+YuH@6+#AH&?6~yrPXD0097u2!Y_nK2rby0QlYOGXMYp1"
    "OyNO004lUe?AC606+x*03w1Q+VSU+2mlBK001Cj3?cvk000OA;PbzqBa%D<006*<AeaY~U^pU(f|Gkb00;m;002M%000PpAOL^>00000Z~;X"
    "i00000002Nh000p{Tmk?9000000000GAdn#d000000000000000000005Fh~n00000000000000000000BLf5i0000000000000000RR9100"
    "02s|Ns9Yf+QMQ1mVmypa1{<JSK>s5knM-2!iVW|KB2jAXw4F!;B<|P6R<PVv3^w|9+1MQvd(}1S5tZSlP|t$UBez_j^2|4Wbpn1OWg5;4eKB"
    "D}o3D006-Mf4@WoKr}K)0uccK{Qvh^01yBnlB60_y~Y3kzeNB+FyhH05knA+7@|PL5CH%F{S=WT0RR99NCW{eq8Y<6Z+89f_hG~k03rea0ss"
    "KO3_gxlv||JS0D$lRev3!~03ZMW0002^{qL&)AOJ)p05BrWs{j9gj{pEbL=r$Ef*=wR0Dy=ffd2pc2><{90001t2%>t`BZec=Ec*5D(}*AmL"
    "<9i<004j<|89){zyJUM0FhrDIFTg9$^#8=r}5Y;$H#F27~D?dU__J-Gk6^k5rn~rCNE}xaddXyg57-{NAhuDM7Ty0007wE=kf1;o==zg8Hx9"
    "i5kV5{003YB00g4|AUF|55dZ)He*b$400000004jp0ATm8!vFvP000010001X|M>_4000000Eid@00000BZ3IZ_2(l1000000H7j>qY(uN00"
    "4quf*J!L000000000006x&U2oVGU0002&{(UR}0ssO50F(d#L9G>!0RR9H0000GK>+Ofa}WRk00IC27y$r401yC1g#i?C?Faw>00000U`7yv"
    "2?!Ac0000006_o%0000000000eBp5b00000005W-V~_v<06+i$AOHY>5HJD(00000000640N9jc00000000000000H000000000G00000000"
    "000000000002KmZs35C8xG00aO40000G00000000000C2tkX%RsHfII+jMw(H#dLABwCeWlH2qZuu5SYgR5Fi9hXd-Au6I8R4t(u+YRZ%_%K"
    "maHJ004j;WeS{bW_e@~PJw7J6cGTyh%kTv000mGkpTc900000p!2VrAc6n@2>_soAOU;*`V9a800BZ0fB*vFm7fnH0ss&ZB!Gw@07e8sBq9i"
    ")xPEQ`K#~9e001HY02on#;D{h02JM?5A_$-n0RRC203d^(83KR+00"
)


def is_known(trigram: str) -> bool:
    """Whether these three, each of the ALPHABET, follow each other in some language."""
    number = 0
    for sign in trigram:
        number = 27 * number + ALPHABET.index(sign)
    return bool(_known()[number >> 3] >> (number & 7) & 1)


@cache
def _known() -> bytes:
    return base64.b85decode(_BITS)
