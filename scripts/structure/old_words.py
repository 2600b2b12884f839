import sys, os,re,collections
W='vigil tenure workshop ground hearing toll scene cargo road trial chronicle ledger board desk well look greet site lent lending novelty bench ending standing crowd subjects sending surprise seal foretell sweep strays circle asker judgement strike strikes suspect grade nearness loose slim'.split()
c=collections.Counter()
rx=re.compile(r'^\s*(?:pub(?:\([^)]*\))? )?(?:async )?(?:const )?(?:fn|struct|enum|mod|const|type|trait|static) (\w+)')
for d,_,fs in os.walk(sys.argv[1] + '/src'):
    for f in fs:
        if not f.endswith('.rs'): continue
        for l in open(os.path.join(d,f)):
            m=rx.match(l)
            if m:
                parts=[p.lower() for p in re.findall(r'[A-Z]?[a-z]+|[A-Z]+(?![a-z])',m.group(1).replace('_',' '))]
                for w in W:
                    if w in parts: c[w]+=1
print(sum(c.values()),dict(c))
