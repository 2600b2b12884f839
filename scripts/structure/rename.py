#!/usr/bin/env python3
"""rename.py DIRECTORY[,DIRECTORY…] OLD=NEW…

Whole identifiers in the code below these directories (from the root of the repository), and in the links of comments; texts and the
prose of comments stay."""
import os,re,sys
dirs=sys.argv[1].split(','); MAP=dict(a.split('=') for a in sys.argv[2:])
PROTECT=re.compile(r'r(#*)"(?:.|\n)*?"\1|\'(?:\\.|[^\'\\])\'|"(?:\\.|[^"\\])*"|//[^\n]*')
WORD=re.compile(r'(?<![\w$])('+'|'.join(map(re.escape,MAP))+r')(?!\w)')
n=0
for top in dirs:
    walk=[(os.path.dirname(top),[],[os.path.basename(top)])] if os.path.isfile(top) else os.walk(top)
    for d,_,fs in walk:
        for f in fs:
            if not f.endswith('.rs'): continue
            p=os.path.join(d,f); s=open(p).read(); keep=[]
            def hide(m):
                t=m.group(0)
                if t.startswith('//'): t=re.sub(r'\[`[^`\]]*`\](?:\([^)]*\))?|\]\([^)]*\)',lambda l:WORD.sub(lambda w:MAP[w.group(1)],l.group(0)),t)
                # names inside format strings
                else: t=re.sub(r'(?<!\{)\{([a-z_]\w*)(?=[:}])',lambda l:'{'+MAP.get(l.group(1),l.group(1)),t)
                keep.append(t); return f'\x00{len(keep)-1}\x01'
            t=PROTECT.sub(hide,s); t=WORD.sub(lambda w:MAP[w.group(1)],t)
            t=re.sub(r'\x00(\d+)\x01',lambda m:keep[int(m.group(1))],t)
            if t!=s: open(p,'w').write(t); n+=1
print(n,'files')
