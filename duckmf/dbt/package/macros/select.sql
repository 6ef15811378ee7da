{#  A select from an mf_ function; the other macros of the package are calls of it.

    Each relation is named in a CTE, for an mf_ function takes no subquery, and a subquery is what
    dbt makes of a ref with --empty, --sample or the `where` of a test, and of a source that is a
    file. With --empty the function is bound, which gives its columns and types, and never run.
    `further` are relations that are arguments by name. #}
{%- macro select(function, relations, expressions={}, options={}, further={}) -%}
    {%- set names, arguments = [], [] -%}
    {%- for relation in relations -%}
        {%- do names.append('duckmf_' ~ loop.index) -%}
    {%- endfor -%}
    {%- for name, expression in expressions.items() if expression is not none -%}
        {%- do arguments.append(name ~ ' := ' ~ expression) -%}
    {%- endfor -%}
    {%- for name in further -%}
        {%- do arguments.append(name ~ ' := duckmf_' ~ name) -%}
    {%- endfor -%}
    {%- for name, value in options.items() -%}
        {%- do arguments.append(name ~ ' := ' ~ duckmf.literal(value)) -%}
    {%- endfor -%}
    with
    {%- for name, relation in further.items() %}
    duckmf_{{ name }} as not materialized (select * from {{ relation }}),
    {%- endfor %}
    {%- for relation in relations %}
    {{ names[loop.index0] }} as not materialized (select * from {{ relation }})
    {{- ',' if not loop.last }}
    {%- endfor %}
    select * from {{ function }}({{ (names + arguments) | join(', ') }})
    {%- if flags.EMPTY %}
    where false limit 0
    {%- endif -%}
{%- endmacro -%}


{#  A value of Jinja as a literal of SQL. #}
{%- macro literal(value) -%}
    {%- if value is none -%}
        null
    {%- elif value is string -%}
        '{{ value | replace("'", "''") }}'
    {%- elif value is iterable -%}
        [{% for one in value %}{{ duckmf.literal(one) }}{{ ', ' if not loop.last }}{% endfor %}]
    {%- else -%}
        {{ value }}
    {%- endif -%}
{%- endmacro -%}
